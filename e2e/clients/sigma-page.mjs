// The page of an app with the Sigma plugin, bundled for the browser. It says who is signed in
// at the app, and has the buttons that change it.
import { sigmaClient } from "@sigma-auth/better-auth-plugin/client";
import { createAuthClient } from "better-auth/client";

const auth = createAuthClient({ plugins: [sigmaClient()] });
const main = document.querySelector("main");

function show(heading, text, button, action) {
  main.replaceChildren(
    ...[["h1", heading], ["p", text], ["button", button]].map(([name, content]) => Object.assign(document.createElement(name), { textContent: content })),
  );
  main.querySelector("button").addEventListener("click", action);
}

const signIn = () =>
  auth.signIn.sigma({ clientId: process.env.NEXT_PUBLIC_SIGMA_CLIENT_ID, prompt: new URLSearchParams(location.search).get("prompt") });

async function home() {
  const { data } = await auth.getSession();
  if (!data) return show("Nobody is signed in", "", "Sign in with Sigma", signIn);
  show(`Welcome, ${data.user.name}`, data.user.email, "Sign out", async () => {
    await auth.signOut();
    await home();
  });
}

if (location.pathname === "/") await home();
else {
  try {
    await auth.sigma.handleCallback(new URLSearchParams(location.search));
    location.replace("/");
  } catch (error) {
    show(error.title, error.message, "Sign in with Sigma", signIn);
  }
}
