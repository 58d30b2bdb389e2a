package takeover_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// network is a bridge with a network namespace for each member, which only the test can cut off from the others. The world, and
// whatever else listens on the bridge's address, stays within their reach: it is by another bridge.
type network struct {
	t      *testing.T
	tag    string
	second int // byte of the addresses
	spaces []string
}

// networks that were made.
var networks atomic.Int32

// newNetwork needs root, and the program ip.
func newNetwork(t *testing.T, members int) *network {
	t.Helper()
	_, missing := exec.LookPath("ip")
	if os.Getuid() != 0 {
		missing = errors.New("not root")
	}
	if os.Getenv("OUTBOX_REQUIRE_SERVICES") == "1" {
		require.NoError(t, missing, "OUTBOX_REQUIRE_SERVICES=1, but network namespaces cannot be made")
	}
	if missing != nil {
		t.Skipf("SKIPPED: network namespaces cannot be made: %v", missing)
	}
	n := &network{t: t, tag: strings.ToLower(rand.Text()[:6]), second: int(64 + networks.Add(1))}
	// Two networks: members reach each other by "m" and everything else by "w".
	for _, which := range []string{"m", "w"} {
		bridge := n.bridge(which)
		n.ip("link", "add", bridge, "type", "bridge")
		t.Cleanup(func() { n.ip("link", "del", bridge) })
		n.ip("addr", "add", n.address(which, 254)+"/24", "dev", bridge)
		n.ip("link", "set", bridge, "up")
	}
	for i := range members {
		space := fmt.Sprintf("takeover-%s-%d", n.tag, i)
		n.ip("netns", "add", space)
		t.Cleanup(func() { n.ip("netns", "del", space) })
		n.spaces = append(n.spaces, space)
		n.inside(i, "link", "set", "lo", "up")
		for _, which := range []string{"m", "w"} {
			outer := n.link(which, i)
			n.ip("link", "add", outer, "type", "veth", "peer", "name", "eth"+which, "netns", space)
			n.ip("link", "set", outer, "master", n.bridge(which), "up")
			n.inside(i, "addr", "add", n.address(which, i+1)+"/24", "dev", "eth"+which)
			n.inside(i, "link", "set", "eth"+which, "up")
		}
	}
	return n
}

func (n *network) bridge(which string) string      { return "tk" + n.tag + which }
func (n *network) link(which string, i int) string { return fmt.Sprintf("tk%s%s%d", n.tag, which, i) }

func (n *network) address(which string, last int) string {
	return fmt.Sprintf("10.%d.%d.%d", n.second, map[string]int{"m": 1, "w": 2}[which], last)
}

// seats are one in each namespace.
func (n *network) seats(journal string) (seats []seat) {
	for i, space := range n.spaces {
		seats = append(seats, seat{
			host: n.address("m", i+1), port: 4000 + 137*i, healthPort: 6000 + 311*i,
			netns: space, journal: journal, worldHost: n.address("w", 254),
		})
	}
	return seats
}

// cut cuts a member off from all others; join undoes it.
func (n *network) cut(member int)  { n.ip("link", "set", n.link("m", member), "down") }
func (n *network) join(member int) { n.ip("link", "set", n.link("m", member), "up") }

// cutFromWorld cuts a member off from the world, its database included.
func (n *network) cutFromWorld(member int) { n.ip("link", "set", n.link("w", member), "down") }
func (n *network) joinToWorld(member int)  { n.ip("link", "set", n.link("w", member), "up") }

func (n *network) ip(args ...string) {
	n.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(n.t, err, "ip %s: %s", strings.Join(args, " "), out)
}

func (n *network) inside(member int, args ...string) {
	n.t.Helper()
	n.ip(append([]string{"-n", n.spaces[member]}, args...)...)
}

// relay lets namespaces reach a database that may listen on this machine's loopback only, and returns its URL there.
func (n *network) relay(place string) string {
	n.t.Helper()
	return through(n.t, place, relayTo(n.t, net.JoinHostPort(n.address("w", 254), "0"), place).address())
}
