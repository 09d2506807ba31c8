package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/storagetest"
)

func TestTheStoreKeepsTheContract(t *testing.T) {
	var files sync.Map // the name of a test → its database
	storagetest.Run(t, func(t testing.TB) contract.Store {
		path, there := files.Load(t.Name())
		if !there {
			path = filepath.Join(t.TempDir(), "countersign.db")
			files.Store(t.Name(), path)
		}
		store, err := sqlite.Open(t.Context(), path.(string))
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}
