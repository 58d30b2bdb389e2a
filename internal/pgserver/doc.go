// Package pgserver gives a test a PostgreSQL server of its own, for what must not be done to one that others use: stop it in
// the middle, fill its disk, promote its standby. It needs PostgreSQL's programs: initdb, pg_ctl and so on, from PATH or where
// Debian puts them.
//
// It makes everything in the test's temporary folder, listens on 127.0.0.1 and a free port, and ends with the test.
package pgserver
