// Package authz is the vocabulary of the authorization server: the records of its nouns, a
// file each (device requests, grants, accounts, clients, events), refusals, and how many of
// what are kept.
//
// Here belongs what every room speaks of. What a database must promise is package contract.
// No rule about who may do what belongs here, and no clock: the rooms below (device, approval,
// grant, account, client and those that they lean on) have the rules, internal/issuer puts
// them together, internal/storage keeps the rows, and how a request arrives is
// internal/server's business.
//
// Start reading at DeviceRequest in device.go.
package authz
