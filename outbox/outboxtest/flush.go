package outboxtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// flushLimit is how much time a Flush lets pass.
const flushLimit = 5 * time.Minute

// Flush lets time pass, for all outboxes of the kit, until everything that was committed before is published or parked by
// this one, and saved. It fails the test if five minutes are not enough.
func (o *Outbox) Flush() {
	o.kit.tb.Helper()
	k := o.kit
	k.settle()
	o.reply = nil
	if !o.gone {
		o.tell(local.Command{Message: &outboxv1.Flush{}})
	}
	until := k.clock.Now().Add(flushLimit)
	for k.settle(); o.reply == nil; k.step(until) {
		switch {
		case o.gone:
			k.fatalf("flush: outbox %q has stopped", o.name)
			return
		case !k.clock.Now().Before(until):
			k.fatalf("flush: %v have passed, and something committed is neither published nor parked, or not saved", flushLimit)
			return
		}
	}
	if o.reply.GetCode() != outboxv1.Code_CODE_OK {
		k.fatalf("flush: outbox %q answers %v: %s", o.name, o.reply.GetCode(), o.reply.GetError())
	}
}

// Status tells how the outbox is.
func (o *Outbox) Status() *outboxv1.Status {
	o.kit.tb.Helper()
	s, err := o.status()
	if err != nil {
		o.kit.fatalf("the status of outbox %q: %v", o.name, err)
	}
	return s
}

func (o *Outbox) status() (*outboxv1.Status, error) {
	return ask[*outboxv1.Status](o, local.Command{Message: &outboxv1.GetStatus{}})
}

// Parked returns the events that were given up on, the first hundred of them.
func (o *Outbox) Parked() []*outboxv1.Parked {
	o.kit.tb.Helper()
	return o.Status().GetParked()
}

// Held returns the persistence ids that wait while others go on, the first hundred of them. An id that fails is held once
// another one gets through, or when it has stood in the way of the others for long enough.
func (o *Outbox) Held() []*outboxv1.HeldStatus {
	o.kit.tb.Helper()
	return o.Status().GetHeld()
}

// String tells how the outbox is, what it has published, and what faults there were.
func (o *Outbox) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "outbox %q at %s: ", o.name, o.kit.clock.Now().Format("15:04:05.000"))
	if s, err := o.status(); err == nil {
		describe(&b, s, o.head())
	} else {
		b.WriteString(err.Error())
		if why := o.kit.stoppedWith(o.pid); why != nil {
			fmt.Fprintf(&b, ": %v", why)
		}
	}
	if ids := o.recorder.running(); len(ids) > 0 {
		fmt.Fprintf(&b, "\nbeing published: %s", strings.Join(ids, ", "))
	}
	events := o.recorder.published()
	fmt.Fprintf(&b, "\npublished: %d%s", len(events), list(events))
	b.WriteString(o.failures.String())
	if o.faults.planned() {
		fmt.Fprintf(&b, "\n%v", o.faults)
	}
	b.WriteString("\n")
	return b.String()
}

// head tells where the journal ends, whatever the faults.
func (o *Outbox) head() string {
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.kit.timeout, errors.New("the journal does not answer"))
	defer cancel()
	head, err := o.kit.bare.Head(ctx)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(int64(head.Offset))
}

func describe(b *strings.Builder, s *outboxv1.Status, head string) {
	fmt.Fprintf(b, "%s, has read to offset %d, the journal ends at %s; watermark %d, saved %d; %d in flight, %d unsaved",
		strings.ToLower(strings.TrimPrefix(s.GetState().String(), "STATE_")), s.GetPosition(), head, s.GetWatermark(), s.GetSavedWatermark(),
		s.GetInFlight(), s.GetUnsaved())
	if s.GetReason() != "" {
		fmt.Fprintf(b, "\nlast error: %s", s.GetReason())
	}
	for _, h := range s.GetHeld() {
		fmt.Fprintf(b, "\nheld: %s/%d after %d attempts: %s", h.GetPersistenceId(), h.GetNext(), h.GetAttempts(), h.GetError())
		switch {
		case h.GetWaitsForOperator():
			b.WriteString(" (waits for an operator)")
		case h.GetRetryAt() != nil:
			fmt.Fprintf(b, " (next attempt at %s)", clockTime(h.GetRetryAt()))
		}
	}
	for _, p := range s.GetParked() {
		fmt.Fprintf(b, "\nparked: %s/%d: %s", p.GetEvent().GetPersistenceId(), p.GetEvent().GetSequenceNumber(), p.GetReason())
	}
}

func clockTime(t *timestamppb.Timestamp) string { return t.AsTime().Format("15:04:05.000") }
