package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first signal to stop. By then signals have their usual effect again,
// so that a second one ends the process the hard way.
func untilSignal() context.Context {
	stops := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		stops = append(stops, syscall.SIGHUP)
	}
	signaled, reset := signal.NotifyContext(context.Background(), stops...)
	ctx, cancel := context.WithCancelCause(context.Background())
	context.AfterFunc(signaled, func() {
		reset()
		cancel(context.Cause(signaled))
	})
	return ctx
}
