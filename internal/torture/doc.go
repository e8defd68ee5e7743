// Package torture ends the real server, `stele serve`, in the ways that a crash test in memory cannot show: SIGKILL in the middle of
// S3 requests, again and again on one data folder, and an fsync of the system that fails while it serves. What clients were told is kept here, outside
// the server, and held against what it shows after each start. -rounds says how often it is killed.
package torture
