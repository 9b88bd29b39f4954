/** How a server ends: what is asked already is answered, but nobody can keep it from ending. */

/** A server as far as its end is concerned. */
export type Ends = Readonly<{ close(): Promise<unknown>; server: Readonly<{ closeAllConnections(): void }> }>;

/** Takes no new connection from now on; who is still being answered when `grace` is over is cut off. */
export async function endServer(app: Ends, grace: Promise<unknown>): Promise<void> {
  const cut = (): void => app.server.closeAllConnections();
  grace.then(cut, cut);
  await app.close();
}
