/** How a server ends: what is asked already is answered, but nobody can keep it from ending. */

/** A server as far as its end is concerned. */
export type Ends = Readonly<{
  close(): Promise<unknown>;
  server: { closeAllConnections(): void; closeIdleConnections(): void };
}>;

/** When somebody's time is over. */
export type Patience = Readonly<{ newcomers: Promise<unknown>; everybody: Promise<unknown> }>;

/**
 * Takes no new connection from now on. Who has connected without asking yet has until `newcomers` to ask; who is still being answered when
 * `everybody` is over is cut off.
 */
export async function endServer(app: Ends, { newcomers, everybody }: Patience): Promise<void> {
  const { server } = app;
  const cutIdle = server.closeIdleConnections.bind(server);
  // Node.js calls it as it closes, and takes newcomers for idle.
  server.closeIdleConnections = () => {};
  newcomers.then(cutIdle, cutIdle);
  const cut = (): void => server.closeAllConnections();
  everybody.then(cut, cut);
  await app.close();
}
