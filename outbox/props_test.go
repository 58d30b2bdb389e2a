package outbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestWhatIsMissingOrWrongIsNamedAtConstruction(t *testing.T) {
	j := memory.New()
	sink := publisher.Props(publisher.Func((&sink{}).publish))
	for name, c := range map[string]struct {
		names     string
		name      string
		journal   query.Journal
		publisher *actor.Props
		option    outbox.Option
	}{
		"no name":              {names: "name", journal: j, publisher: sink},
		"a very long name":     {names: "name", name: strings.Repeat("n", 201), journal: j, publisher: sink},
		"a name with newline":  {names: "name", name: "a\nb", journal: j, publisher: sink},
		"no journal":           {names: "journal", name: "test", publisher: sink},
		"no publisher":         {names: "publisher", name: "test", journal: j},
		"a nil publisher":      {names: "publisher", name: "test", journal: j, publisher: publisher.Props(nil)},
		"no place for offsets": {names: "journal", name: "test", journal: mute{j}, publisher: sink},
		"poll interval":        {names: "WithPollInterval", name: "test", journal: j, publisher: sink, option: outbox.WithPollInterval(0)},
		"lanes":                {names: "WithLanes", name: "test", journal: j, publisher: sink, option: outbox.WithLanes(0)},
		"batch":                {names: "WithBatch", name: "test", journal: j, publisher: sink, option: outbox.WithBatch(1, 0)},
		"window":               {names: "WithWindow", name: "test", journal: j, publisher: sink, option: outbox.WithWindow(0, 1)},
		"max unsaved":          {names: "WithMaxUnsaved", name: "test", journal: j, publisher: sink, option: outbox.WithMaxUnsaved(-1)},
		"max held":             {names: "WithMaxHeld", name: "test", journal: j, publisher: sink, option: outbox.WithMaxHeld(4095)},
		"no held":              {names: "WithMaxHeld", name: "test", journal: j, publisher: sink, option: outbox.WithMaxHeld(0)},
		"max parked":           {names: "WithMaxParked", name: "test", journal: j, publisher: sink, option: outbox.WithMaxParked(0)},
		"publish timeout":      {names: "WithPublishTimeout", name: "test", journal: j, publisher: sink, option: outbox.WithPublishTimeout(0)},
		"hold after":           {names: "WithHoldAfter", name: "test", journal: j, publisher: sink, option: outbox.WithHoldAfter(-time.Second)},
		"backoff":              {names: "WithBackoff", name: "test", journal: j, publisher: sink, option: outbox.WithBackoff(time.Second, time.Millisecond)},
		"filter":               {names: "WithFilter", name: "test", journal: j, publisher: sink, option: outbox.WithFilter(query.Filter{Slices: query.SliceRange{From: 5, To: 4}})},
		"scheduler":            {names: "WithScheduler", name: "test", journal: j, publisher: sink, option: outbox.WithScheduler(nil)},
		"clock":                {names: "WithClock", name: "test", journal: j, publisher: sink, option: outbox.WithClock(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []outbox.Option
			if c.option != nil {
				opts = append(opts, c.option)
			}
			props, err := outbox.Props(c.name, c.journal, c.publisher, opts...)
			require.Nil(t, props)
			var wrong *outbox.OptionError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, c.names, wrong.Option)
			require.NotEmpty(t, wrong.Problem)
		})
	}
}
