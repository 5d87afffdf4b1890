// Confirm on a click, not on page load: mail scanners open links too.
const button = document.getElementById("confirm");
const message = document.getElementById("message");
const token = new URLSearchParams(location.search).get("token");

if (!token) {
  button.hidden = true;
  message.textContent = "This link is incomplete. Open the link in the mail, or copy all of it.";
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const answer = await fetch("/api/auth/verify", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    const body = await answer.json();
    if (answer.ok) {
      button.hidden = true;
      message.textContent = `Welcome, ${body.user.display_name}. Your address is confirmed; you can sign in.`;
      return;
    }
    message.textContent = body.errors?.token ?? body.detail;
  } catch {
    message.textContent = "The server did not answer. Try again in a moment.";
  }
  button.disabled = false;
});
