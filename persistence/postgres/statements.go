package postgres

// statements are the SQL of one journal.
type statements struct {
	head, numbers, atWork        string
	feed, data                   string
	selected                     [numFieldSets]string
	stream, replay, lastSequence string
	hide, ids, offsetAt          string
	lockIDs, lockID, lockFreeIDs string
	appendSettings, appendEvents string
	appendFreeEvents, settle     string
	appendRecords, appendRecord  string
	actorSnapshot, saveActor     string
	deleteActor                  string
	outboxSnapshot, acquire      string
	save, unregister             string
	trimCandidates, trimLock     string
	trimNeeds, trimNeedsLocked   string
	trimDelete                   string
}

func newStatements(t tables) statements {
	s := statements{
		head: `SELECT coalesce((SELECT max(ordering) FROM {{journal}}), 0), (SELECT value FROM {{meta}} WHERE key = 'identity'),
			(SELECT system_identifier FROM pg_control_system()), (SELECT oid::bigint FROM pg_database WHERE datname = current_database())`,

		numbers: `SELECT ordering FROM {{journal}} WHERE ordering > $1 ORDER BY ordering LIMIT $2`,

		// The greatest number is that of the statement's snapshot, which is taken before the locks are looked at. The other
		// way round it would prove nothing.
		atWork: `SELECT coalesce((SELECT max(ordering) FROM {{journal}}), 0),
			coalesce((SELECT min(ordering) FROM {{journal}} WHERE ordering > $1), 0),
			ARRAY(SELECT DISTINCT virtualtransaction FROM pg_locks
				WHERE locktype = 'relation' AND relation = {{'journal'}}::regclass AND mode = 'RowExclusiveLock' AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,

		feed: `SELECT ` + eventColumns + ` FROM {{journal}} WHERE ordering > $2 ORDER BY ordering LIMIT $3`,
		data: `SELECT ordering, data FROM {{journal}} WHERE ordering = ANY ($1::bigint[]) ORDER BY ordering`,

		stream:       streamSQL,
		replay:       replaySQL,
		lastSequence: lastSequenceSQL,
		hide:         hideSQL,
		ids:          idsSQL,
		offsetAt:     offsetAtSQL,

		lockIDs:          lockIDsSQL,
		lockID:           lockIDSQL,
		lockFreeIDs:      lockFreeIDsSQL,
		appendSettings:   appendSettingsSQL,
		appendEvents:     appendEventsSQL,
		appendFreeEvents: appendFreeEventsSQL,
		settle:           settleSQL,
		appendRecords:    appendRecordsSQL,
		appendRecord:     appendRecordSQL,

		actorSnapshot:  actorSnapshotSQL,
		saveActor:      saveActorSnapshotSQL,
		deleteActor:    deleteActorSnapshotsSQL,
		outboxSnapshot: outboxSnapshotSQL,
		acquire:        outboxAcquireSQL,
		save:           outboxSaveSQL,
		unregister:     outboxForgetSQL,

		trimCandidates:  trimCandidatesSQL,
		trimLock:        trimLockSQL,
		trimNeeds:       trimNeedsSQL,
		trimNeedsLocked: trimNeedsLockedSQL,
		trimDelete:      trimDeleteSQL,
	}
	for f := range numFieldSets {
		s.selected[f] = t.sql(f.sql())
	}
	for _, text := range []*string{
		&s.head, &s.numbers, &s.atWork, &s.feed, &s.data, &s.stream, &s.replay, &s.lastSequence, &s.hide, &s.ids, &s.offsetAt,
		&s.lockIDs, &s.lockID, &s.lockFreeIDs, &s.appendSettings, &s.appendEvents, &s.appendFreeEvents, &s.settle, &s.appendRecords, &s.appendRecord,
		&s.actorSnapshot, &s.saveActor, &s.deleteActor, &s.outboxSnapshot, &s.acquire, &s.save, &s.unregister,
		&s.trimCandidates, &s.trimLock, &s.trimNeeds, &s.trimNeedsLocked, &s.trimDelete,
	} {
		*text = t.sql(*text)
	}
	return s
}
