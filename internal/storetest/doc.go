// Package storetest is what the tests of several packages share: makers of stores, targets and clocks, and the oracles by which a store is judged.
//
//   - [Reference] is the store's API in memory, written from AWS's rules and from DESIGN. [Show] writes down all that a store shows, in the same words.
//   - [Client] makes changes and notes what it was told. Its Compare holds a store against that, whatever happened to the store in between.
//   - [Tampered] is a closed store whose files a test damages; its Honest finds what is shown and was never written.
//   - [BackedUp] is a target to serve from, with what must be seen there.
//
// Only tests import it.
package storetest
