// Command bench measures the outbox, and judges what it finds against fixed bars: run it by `make bench`.
//
// Each case is a file of its own. It prints one line, `BENCH <case> key=value …`, for each thing that it has measured,
// and claims what the bars are about. A machine's speed says little about a program, so that the bars on speed compare
// with something that was measured in the same run: with a floor, the plainest loop that does the same without any of
// the promises, or with the original algorithm, in original.go. Whatever is compared takes turns, so that a disturbance hits
// both, and what counts is the median of the rounds.
//
// It promises no figure. docs/benchmarks.md has the method, and figures of one machine.
package main
