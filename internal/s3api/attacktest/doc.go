// Package attacktest attacks the S3 door of a real server: forged and replayed signatures, bodies that are not what they say, slow and idle
// connections, bombs in XML, floods. After each attack the server must answer, its memory must have stayed within its bound, its goroutines
// must be gone, and nothing may be stored that was not signed for.
package attacktest
