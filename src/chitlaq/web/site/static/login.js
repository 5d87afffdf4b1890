// Signs in without leaving the page: what was typed stays where it is, and passkeys are asked.
const form = document.querySelector("form");
const refused = document.getElementById("refused");
const codeField = document.getElementById("code-field");
const code = document.getElementById("code");
const passkey = document.getElementById("passkey");
const HAS_PASSKEY = "passkey=used";

const post = (path, body) => fetch(`/api/auth/${path}`, {
  method: "POST",
  headers: { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang },
  body: JSON.stringify(body),
});
const say = (text) => {
  refused.textContent = text;
  refused.hidden = text === "";
};

// The passkey that the browser suggests, until the button asks for one.
const suggesting = new AbortController();

async function signIn(path, body) {
  say("");
  const answer = await post(path, { ...body, cookies: true }).catch(() => null);
  if (answer?.ok && body.passkey) document.cookie = `${HAS_PASSKEY}; path=/login; max-age=31536000; samesite=strict; secure`;
  // Where somebody goes on is a path of ours: the server has seen to that.
  if (answer?.ok) return location.assign(form.elements.return_to.value);
  const problem = await answer?.json().catch(() => null);
  if (!problem?.type?.endsWith("second-factor-required")) {
    const [why] = Object.values(problem?.errors ?? {});
    // What is wrong with a field, the page says beside it.
    if (why && !body.passkey) return form.submit();
    return say(why ? refused.dataset.passkey.replace("{}", why) : problem?.detail ?? refused.dataset.away);
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
    suggesting.abort();
    const publicKey = await options();
    if (publicKey === null) return say(refused.dataset.away);
    const signed = await navigator.credentials.get({ publicKey }).catch(() => null); // null: given up
    if (signed) signIn("passkeys/login", { passkey: signed.toJSON() });
  });
  // Where a passkey was used before, the browser offers it while the name is typed. Elsewhere nothing is asked: each
  // challenge counts for its address, and many share one.
  const isOffered = document.cookie.includes(HAS_PASSKEY) && (await PublicKeyCredential.isConditionalMediationAvailable?.());
  if (isOffered) form.elements.login.addEventListener("focus", suggest, { once: true });
  if (isOffered && document.activeElement === form.elements.login) suggest();
}

async function options() {
  const asked = await post("passkeys/options", { purpose: "authentication" }).catch(() => null);
  return asked?.ok ? PublicKeyCredential.parseRequestOptionsFromJSON((await asked.json()).publicKey) : null;
}

async function suggest() {
  const publicKey = await options();
  if (publicKey === null) return;
  const asked = { publicKey, mediation: "conditional", signal: suggesting.signal };
  const signed = await navigator.credentials.get(asked).catch(() => null); // null: the button was pressed
  if (signed) signIn("passkeys/login", { passkey: signed.toJSON() });
}
