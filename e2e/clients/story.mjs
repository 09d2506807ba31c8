// What each client tells the test about its run: one JSON object a line.
//   {"event":"code","user_code":…}
//   {"event":"userinfo","claims":{…},"id_token_claims":{…}}
//   {"event":"error","error":"access_denied"}

export const issuer = process.env.COUNTERSIGN_SERVER;
export const clientId = "my-app";
export const scope = "openid profile";
export const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

export function tell(event, members) {
  console.log(JSON.stringify({ event, ...members }));
}

// tellError reports the OAuth error of whatever the library threw.
export function tellError(error) {
  tell("error", { error: error.error ?? error.cause?.error ?? error.code ?? String(error), text: String(error) });
}
