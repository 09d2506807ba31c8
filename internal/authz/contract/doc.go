// Package contract is what the authorization server asks of a database: operations, a file
// a noun, with what each is told and the outcomes that it names.
//
// Here belong the operations that rooms call and that every database promises (Store), and
// what they take and return besides the records of package authz. No SQL belongs here, which
// internal/storage writes in files named alike, and no rule: a room decides, and says
// times, limits and how many stay. That each database keeps the contract is tested by
// internal/storage/storagetest.
//
// Start reading at Store in store.go, then DeviceStore in device.go.
package contract
