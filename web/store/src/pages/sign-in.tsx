//! Choose who you are: a few demo shoppers, no password.
import { usePage } from "../parts/page.ts";
import { demoUsers, user } from "../state.ts";
import { signIn, signOut } from "../tracking/index.ts";

export function SignInPage() {
  usePage("Sign in");
  const current = user.value;
  return (
    <section class="wrap section narrow">
      <h1>{current ? `Hello, ${current.name}` : "Sign in"}</h1>
      <p class="lead">
        {current ? "What you did before you signed in belongs to you now." : "Pick a shopper. There are no passwords: this is a demo."}
      </p>
      <ul class="people">
        {demoUsers.map((person) => (
          <li key={person.id}>
            <button type="button" aria-pressed={current?.id === person.id} onClick={() => signIn(person.id)} disabled={current !== null && current.id !== person.id}>
              <span class="avatar" aria-hidden="true">
                {person.name[0]}
              </span>
              <span>
                <b>{person.name}</b>
                <small>{person.line}</small>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {current && (
        <button type="button" class="button quiet" onClick={signOut}>
          Sign out
        </button>
      )}
    </section>
  );
}
