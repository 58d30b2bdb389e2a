package journal

import (
	"slices"

	"google.golang.org/protobuf/proto"
)

// Tag returns the event with tags, to be persisted in its place:
//
//	a.PersistReceive(journal.Tag(event, "eu", "b2b"))
//
// A feed can be filtered by tags. They are stored beside the event, which is replayed bare. The order of tags and
// repetitions have no meaning; tagging twice adds. A tag is valid UTF-8 without NUL.
func Tag(event proto.Message, tags ...string) proto.Message {
	bare, earlier := untag(event)
	return &tagged{Message: bare, tags: slices.Concat(earlier, tags)}
}

type tagged struct {
	proto.Message
	tags []string
}

func untag(event proto.Message) (bare proto.Message, tags []string) {
	if t, ok := event.(*tagged); ok {
		return t.Message, t.tags
	}
	return event, nil
}
