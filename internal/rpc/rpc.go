// Package rpc says what a program may ask of a running server: one value for each call, with the types of its argument and its result, and who may make it. The server gives each value a handler, the
// client makes the call by the same value, so that two sides that do not fit do not compile.
//
// Protocol, not frozen: POST /v1/NAME. Argument and result are JSON, the result with "v":1. A call has one of four forms:
//
//	Call      one argument, one result
//	Lines     the result is lines of JSON, sent as they come up
//	Download  the result is bytes
//	Upload    the request's body is bytes; the argument stands in the query (?q=)
//
// The trailer Stele-Error ends each stream, and holds null or the error that ended it: a stream without it broke off. Errors carry codes, so that errors.Is finds the sentinels of package stele on both sides.
package rpc

import "slices"

// Access is what a caller must be to make a call.
type Access int

const (
	Reads   Access = iota // role auditor or admin
	Changes               // role admin
	Proof                 // anyone: the argument proves itself, so that who brings it does not matter
)

// String says who may make the call, as docs/CALLS.md has it.
func (a Access) String() string {
	switch a {
	case Reads:
		return "auditor, admin"
	case Changes:
		return "admin"
	case Proof:
		return "anyone"
	}
	return "nobody"
}

// Form is how a call's argument and result travel.
type Form int

const (
	OneResult Form = iota // Call
	ManyLines             // Lines
	BytesDown             // Download
	BytesUp               // Upload
)

// String names the form, as docs/CALLS.md has it.
func (f Form) String() string {
	return [...]string{"call", "lines", "download", "upload"}[f]
}

// Row is a call without its types.
type Row struct {
	Name   string
	Access Access
	Form   Form
}

// Path is where a call is made.
func (r Row) Path() string { return "/v1/" + r.Name }

// row is in every call. No other package can make one.
type row struct{ of Row }

// Row returns the call without its types.
func (r row) Row() Row { return r.of }

// Call takes an A and returns an R.
type Call[A, R any] struct{ row }

// Lines takes an A and returns any number of L.
type Lines[A, L any] struct{ row }

// Download takes an A and returns bytes.
type Download[A any] struct{ row }

// Upload takes an A and bytes, and returns an R.
type Upload[A, R any] struct{ row }

// table has every call: the functions below are the only way to one.
var table []Row

// All returns the calls in the order of their definition.
func All() []Row { return slices.Clone(table) }

func define(name string, access Access, form Form) row {
	r := Row{name, access, form}
	table = append(table, r)
	return row{r}
}

func call[A, R any](name string, access Access) Call[A, R] {
	return Call[A, R]{define(name, access, OneResult)}
}

func lines[A, L any](name string, access Access) Lines[A, L] {
	return Lines[A, L]{define(name, access, ManyLines)}
}

func download[A any](name string, access Access) Download[A] {
	return Download[A]{define(name, access, BytesDown)}
}

func upload[A, R any](name string, access Access) Upload[A, R] {
	return Upload[A, R]{define(name, access, BytesUp)}
}
