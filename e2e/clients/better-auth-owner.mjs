// The owner's side as better-auth's own client knows it: look at the request, then
// decide. The session cookie was got by signing in.
//   node better-auth-owner.mjs approve|deny USER-CODE
import { createAuthClient } from "better-auth/client";
import { deviceAuthorizationClient } from "better-auth/client/plugins";
import { issuer, tell } from "./story.mjs";

const [decision, userCode] = process.argv.slice(2);
const auth = createAuthClient({
  baseURL: issuer,
  plugins: [deviceAuthorizationClient()],
  fetchOptions: { headers: { cookie: process.env.SESSION_COOKIE } },
});

const session = await auth.getSession();
const seen = await auth.device({ query: { user_code: userCode } });
const decided = await auth.device[decision]({ userCode });
tell("decided", { session: session.data, seen: seen.data, answer: decided.data, error: decided.error });
