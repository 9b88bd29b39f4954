/** Shuts a server down: requests under way are answered, within a time limit. */

/** The part of a server that shuts it down. */
export type Ends = Readonly<{
  close(): Promise<unknown>;
  server: { closeAllConnections(): void; closeIdleConnections(): void };
}>;

/** `newcomers` settles when connections without a request are cut, `everybody` when all are. */
export type Patience = Readonly<{ newcomers: Promise<unknown>; everybody: Promise<unknown> }>;

/**
 * Accepts no new connections. Connections without a request yet have until `newcomers`; answers still under way at `everybody` are cut off.
 */
export async function endServer(app: Ends, { newcomers, everybody }: Patience): Promise<void> {
  const { server } = app;
  const cutIdle = server.closeIdleConnections.bind(server);
  // Node.js calls this on close, and counts connections without a request as idle.
  server.closeIdleConnections = () => {};
  newcomers.then(cutIdle, cutIdle);
  const cut = (): void => server.closeAllConnections();
  everybody.then(cut, cut);
  await app.close();
}
