package publisher

import (
	"fmt"
	"runtime/debug"
)

// PanicError is what the publisher actor panics with, and a supervisor is given as the reason, after Publish has
// panicked.
type PanicError struct {
	// Value is what Publish panicked with.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error tells the value and the stack.
func (p *PanicError) Error() string {
	return fmt.Sprintf("publisher panicked: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the value that Publish panicked with, if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// guard runs fn, and calls report if fn panics, after which guard returns, or if fn ends its goroutine, as t.FailNow
// does.
func guard(fn func(), report func(*PanicError)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		switch v := recover().(type) {
		case *PanicError: // passed on from another goroutine, with the stack that matters
			report(v)
		case nil:
			report(&PanicError{Value: "runtime.Goexit was called", Stack: debug.Stack()})
		default:
			report(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	fn()
	returned = true
}
