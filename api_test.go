package stele

import (
	"reflect"
	"testing"
)

// storeMethods is how many methods an embedder meets on a Store. It may fall.
const storeMethods = 69

// TestStoreIsSmall holds the number of methods on Store, so that what go doc shows can be read in one go.
func TestStoreIsSmall(t *testing.T) {
	if n := reflect.TypeFor[*Store]().NumMethod(); n > storeMethods {
		t.Errorf("*Store has %d methods, %d are agreed on. A new one belongs on Multipart if it is of uploads; what only a server needs belongs in internal/node, on the room below that does it", n, storeMethods)
	}
}
