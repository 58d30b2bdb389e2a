//go:build race

package takeover_test

// raced says that the race detector looks on, which makes members many times as slow.
const raced = true
