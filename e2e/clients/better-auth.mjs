import { createAuthClient } from "better-auth/client";
import { deviceAuthorizationClient } from "better-auth/client/plugins";
import { clientId, deviceGrant, issuer, scope, tell, tellError } from "./story.mjs";

const auth = createAuthClient({ baseURL: issuer, plugins: [deviceAuthorizationClient()] });

async function signIn() {
  const { data: started, error } = await auth.device.code({ client_id: clientId, scope });
  if (error) throw error;
  tell("code", { user_code: started.user_code });

  let interval = started.interval;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    const { data, error } = await auth.device.token({ grant_type: deviceGrant, device_code: started.device_code, client_id: clientId });
    if (data?.access_token) return data;
    if (error.error === "slow_down") interval += 5;
    else if (error.error !== "authorization_pending") throw error;
  }
}

try {
  const tokens = await signIn();
  const { data: claims, error } = await auth.$fetch("/oauth2/userinfo", {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  });
  if (error) throw error;
  tell("userinfo", { claims });
} catch (error) {
  tellError(error);
}
