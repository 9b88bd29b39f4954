/** Loaded into a server by a test: at SIGUSR2, a promise is rejected that nobody waits for. */

process.on('SIGUSR2', () => void Promise.reject(new Error('nobody waits for this')));
