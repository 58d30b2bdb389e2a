package outbox

import (
	"errors"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// LateMessages are what the first instance of an outbox may have left on its way to the next. If the next took them for
// its own, each would do visible harm.
func LateMessages() map[string]any {
	const first = 1
	return map[string]any{
		"the outcome of an effect":      happened{first, ledger.Fenced{}},
		"where a command's event is":    located{first, 1, nil, outboxv1.Code_CODE_NOT_FOUND, errors.New("late")},
		"a look at the owner":           looked{incarnation: first, epoch: -1},
		"a recovery":                    acquired{incarnation: first, err: ErrFenced},
		"another attempt to recover":    retry{first},
		"another attempt at the name":   tryName{first},
		"the respawn of a publisher":    respawn{first, 0},
		"a tick":                        tick{first, 1},
		"a spare tick":                  spareTick{first},
		"a notification of the journal": wake{first},
	}
}
