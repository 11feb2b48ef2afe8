// Email breaks before its @ where it is too long for a line, not at a hyphen or within a word.
export function Email({ of: email }: { of: string }) {
  const at = Math.max(0, email.lastIndexOf("@"));
  return (
    <>
      {email.slice(0, at)}
      <wbr />
      {email.slice(at)}
    </>
  );
}
