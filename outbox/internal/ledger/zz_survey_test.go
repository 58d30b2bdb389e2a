package ledger

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func TestSurvey(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SURVEY"))
	if n == 0 {
		t.Skip()
	}
	from, _ := strconv.Atoi(os.Getenv("SURVEY_FROM"))
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	fails := 0
	var total statistics
	for range 2 {
		wg.Go(func() {
			for {
				seed := next.Add(1) + int64(from)
				if seed > int64(n+from) {
					return
				}
				s, err := simulate(uint64(seed), false)
				mu.Lock()
				total.add(&s.stats)
				if err != nil {
					fails++
					fmt.Println("SEED", seed, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Println(fails, "of", n, "fail")
	fmt.Println(total.String())
}
