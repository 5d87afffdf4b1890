// Sends the form with what a passkey has signed instead of a code, where the browser knows passkeys.
const place = document.getElementById("passkey");

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(place.dataset.options));
  place.hidden = false;
  place.querySelector("button").addEventListener("click", async () => {
    const signed = await navigator.credentials.get({ publicKey }).catch(() => null); // null: given up
    if (signed === null) return;
    const form = document.querySelector("form");
    form.elements.passkey.value = JSON.stringify(signed.toJSON());
    form.submit();
  });
}
