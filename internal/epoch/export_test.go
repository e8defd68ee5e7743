package epoch

// MaxPeers is how many addresses of followers are kept.
const MaxPeers = maxPeers
