package journaltest

import "time"

// SetPatience sets how long the suite waits for what should happen soon.
func SetPatience(d time.Duration) { patience = d }

// Cases are the names of all cases, "<group>/<case>".
func Cases() (names []string) {
	for _, g := range groups() {
		for _, c := range g.cases {
			names = append(names, g.name+"/"+c.name)
		}
	}
	return names
}
