// Package webhook publishes events to a URL: one CloudEvents 1.0 event per HTTP POST, in binary content mode, so
// that the body is the event's data as it is and the rest travels in headers.
//
// It owns the mapping of an event to a request (below) and the reading of the answer ([Webhook.Publish]). It
// promises order within a persistence id and concurrency across ids. It never follows a redirect, never retries
// by itself, and puts neither credentials nor query parameters of the URL into an error.
//
//	header            value
//	ce-specversion    1.0
//	ce-id             <persistence id>/<sequence number>, the same at every delivery
//	ce-source         /outbox/<name>, or what WithSource says
//	ce-type           the event's type: the full name of its protobuf message
//	ce-subject        the persistence id
//	ce-time           when the journal wrote the event, RFC 3339
//	ce-sequence       the sequence number in 19 digits, with leading zeros: the sequence extension demands
//	                  values that sort as text; it counts within the subject
//	ce-epoch          the outbox's fencing token, decimal: a greater one replaces the owner with a smaller one
//	ce-traceparent    the trace context in the event's metadata, where there is one (distributed tracing
//	ce-tracestate     extension)
//	content-type      the content type of the data
//
// Header values are percent-encoded as the CloudEvents HTTP binding demands, so that a persistence id may contain
// anything, line breaks included. Receivers decode them once; the CloudEvents SDKs do.
package webhook
