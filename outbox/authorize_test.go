package outbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Whatever is added to the commands, none gets in without leave.
func TestEveryBareCommandNeedsLeave(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	answers := map[protoreflect.Name]bool{"Reply": true, "Status": true, "HeldStatus": true, "DestinationStatus": true}
	messages := outboxv1.File_outbox_v1_control_proto.Messages()
	tried := 0
	for i := range messages.Len() {
		if answers[messages.Get(i).Name()] {
			continue
		}
		typ, err := protoregistry.GlobalTypes.FindMessageByName(messages.Get(i).FullName())
		require.NoError(t, err)
		answer, err := o.system.Root.RequestFuture(o.pid, typ.New().Interface(), patience).Result()
		require.NoError(t, err, "%s is not answered", typ.Descriptor().Name())
		require.Equal(t, outboxv1.Code_CODE_UNAUTHORIZED, answer.(*outboxv1.Reply).GetCode(), typ.Descriptor().Name())
		tried++
	}
	require.GreaterOrEqual(t, tried, 11)
	o.flush(t) // and nothing has come of it
}
