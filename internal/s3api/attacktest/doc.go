// Package attacktest attacks the S3 door of a real server: forged and replayed signatures, bodies that are not what they say, slow and idle
// connections, bombs in XML, floods. After each attack the server must answer, its memory must have stayed within its bound, its goroutines
// must be gone, and nothing may be stored that was not signed for.
//
// Its suite of roles asks for each operation of the routing table, in the name of each role with each class of scope, and holds the answers to a table that says
// who may do what (rights_test.go).
package attacktest
