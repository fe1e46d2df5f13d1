// The bearer token: asked for once the server wants one, kept for this tab alone.

const KEY = "shrinkml-token";
let asked = null;

/** Return the token that was given; null where none was. */
export const keptToken = () => sessionStorage.getItem(KEY);

/** Return when a token was given; all that wait share one question. Throws `problem` where none is given. */
export function askForToken(problem) {
  sessionStorage.removeItem(KEY);
  asked ??= question(problem).finally(() => { asked = null; });
  return asked;
}

/** Have the button in the header forget the token, and show it only where there is one. */
export function offerToForget() {
  const button = document.getElementById("forget");
  button.hidden = keptToken() === null;
  button.onclick = () => {
    sessionStorage.removeItem(KEY);
    location.reload();
  };
}

function question(problem) {
  const dialog = document.getElementById("token");
  const input = document.getElementById("token-text");
  document.getElementById("token-why").textContent = problem.detail;
  document.getElementById("token-cancel").onclick = () => dialog.close();
  input.value = "";
  dialog.returnValue = "";
  dialog.querySelector("form").onsubmit = () => {
    sessionStorage.setItem(KEY, input.value.trim());
    offerToForget();
  };
  dialog.showModal();
  return new Promise((given, refused) => {
    dialog.onclose = () => (keptToken() ? given() : refused(problem));
  });
}
