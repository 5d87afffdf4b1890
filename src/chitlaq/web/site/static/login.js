// Signs in without leaving the page: what was typed stays where it is, and passkeys are asked.
const form = document.querySelector("form");
const refused = document.getElementById("refused");
const codeField = document.getElementById("code-field");
const code = document.getElementById("code");
const passkey = document.getElementById("passkey");

const post = (path, body) => fetch(`/api/auth/${path}`, {
  method: "POST",
  headers: { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang },
  body: JSON.stringify(body),
});
const say = (text) => {
  refused.textContent = text;
  refused.hidden = text === "";
};

async function signIn(path, body) {
  say("");
  const answer = await post(path, { ...body, cookies: true }).catch(() => null);
  // Where somebody goes on is a path of ours: the server has seen to that.
  if (answer?.ok) return location.assign(form.elements.return_to.value);
  const problem = await answer?.json().catch(() => null);
  if (!problem?.type?.endsWith("second-factor-required")) {
    return say(Object.values(problem?.errors ?? {})[0] ?? problem?.detail ?? refused.dataset.away);
  }
  // It is asked for once, and then missed or wrong.
  say(codeField.hidden ? codeField.dataset.needed : problem.detail);
  codeField.hidden = code.disabled = false;
  code.focus();
}

function typed() {
  const { login, password } = form.elements;
  const given = { login: login.value, password: password.value };
  return code.value ? { ...given, code: code.value } : given;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn("login", typed());
});

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  passkey.hidden = false;
  passkey.querySelector("button").addEventListener("click", async () => {
    const asked = await post("passkeys/options", { purpose: "authentication" }).catch(() => null);
    if (!asked?.ok) return say(refused.dataset.away);
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON((await asked.json()).publicKey);
    const signed = await navigator.credentials.get({ publicKey }).catch(() => null); // null: given up
    if (signed) signIn("passkeys/login", { passkey: signed.toJSON() });
  });
}
