package storagetest

import (
	"maps"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// refusals end otherwise than well, or find nothing to do, and say so when all their
// statements succeed.
func (f *fixture) refusals() map[string]way {
	all := f.requestRefusals()
	maps.Copy(all, f.accountRefusals())
	maps.Copy(all, f.grantRefusals())
	return all
}

// requestRefusals are those of clients and of device requests.
func (f *fixture) requestRefusals() map[string]way {
	ctx := f.Context()
	return map[string]way{
		"adding a client that is there": {want: is(contract.ErrExists), do: func(o belongings) error { return f.store.AddClient(ctx, o.client) }},
		"removing a client that is not there": {want: is(contract.ErrNotFound), do: func(belongings) error {
			return f.store.RemoveClient(ctx, "nobody", at(40))
		}},
		"reading what is not there": {want: is(contract.ErrNotFound), do: func(belongings) error {
			_, err := f.store.DeviceRequestByID(ctx, "nothing")
			return err
		}},
		"storing a request whose code is taken": {want: is(contract.ErrExists), do: func(o belongings) error {
			r := f.request()
			r.UserCode = o.elsewhere.UserCode
			return f.store.CreateDeviceRequest(ctx, r)
		}},
		"opening what was decided": {want: isState, do: func(o belongings) error {
			_, err := f.store.OpenDeviceRequest(ctx, contract.Opening{RequestID: o.approved.request.ID, AccountID: o.identity.AccountID, At: at(1)})
			return err
		}},
		"cancelling what was decided": {want: isState, do: func(o belongings) error {
			return f.store.CancelDeviceRequest(ctx, o.approved.request.ID, at(1))
		}},
		"approving what was decided": {want: isState, do: func(o belongings) error {
			return f.store.ApproveDeviceRequest(ctx, f.approval(o.approved.request, o.identity))
		}},
		"denying what was decided": {want: isState, do: func(o belongings) error {
			return f.store.DenyDeviceRequest(ctx, contract.Denial{RequestID: o.approved.request.ID, AccountID: o.identity.AccountID, At: at(1), Event: anyEvent, Keep: plenty})
		}},
		"approving as who is gone": {want: is(contract.ErrGone), do: func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Grant.BAPID = "nobody"
			return f.store.ApproveDeviceRequest(ctx, a)
		}},
		"approving with a passkey that is gone": {want: is(contract.ErrGone), do: func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Grant.Passkey = "nothing"
			return f.store.ApproveDeviceRequest(ctx, a)
		}},
		"redeeming what was redeemed": {want: isState, do: func(o belongings) error { return f.store.RedeemDeviceRequest(ctx, f.redemption(o.issued)) }},
		"redeeming another client's request": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			r := f.redemption(o.approved)
			r.ClientID = "nobody"
			return f.store.RedeemDeviceRequest(ctx, r)
		}},
	}
}

// accountRefusals are those of accounts, sessions and passkeys.
func (f *fixture) accountRefusals() map[string]way {
	ctx := f.Context()
	return map[string]way{
		"creating an account for who has one": {want: is(contract.ErrExists), do: func(o belongings) error {
			i := o.second
			i.AccountID = f.word("account")
			return f.store.CreateAccount(ctx, authz.Account{ID: i.AccountID, CreatedAt: at(0)}, i)
		}},
		"linking who has an account": {want: is(contract.ErrExists), do: func(o belongings) error {
			return f.store.LinkIdentity(ctx, o.second, o.identity.BAPID, many, f.event(o.identity.AccountID))
		}},
		"linking for a stranger": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			return f.store.LinkIdentity(ctx, f.newIdentity(o.identity.AccountID), "nobody", many, f.event(o.identity.AccountID))
		}},
		"removing an identity for a stranger": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			return f.store.RemoveIdentity(ctx, f.removal(o.second, authz.Identity{AccountID: o.identity.AccountID, BAPID: "nobody"}))
		}},
		"signing in as who is gone": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			s := f.session(o.identity)
			s.BAPID = "nobody"
			return f.store.CreateSession(ctx, contract.NewSession{Session: s, Event: anyEvent, Keep: plenty})
		}},
		"signing in with a counter again": {want: is(contract.ErrCounter), do: func(o belongings) error {
			return f.store.CreateSession(ctx, f.signIn(o.passkey, o.passkey.SignCount))
		}},
		"signing in with a passkey that is gone": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			return f.store.CreateSession(ctx, f.signIn(f.passkey(o.identity), 9))
		}},
		"ending sessions where there are none": {do: func(belongings) error {
			_, err := f.store.EndOtherSessions(ctx, "nobody", authz.Hash{}, at(40), anyEvent)
			return err
		}},
		"adding a passkey that is there": {want: is(contract.ErrExists), do: func(o belongings) error {
			return f.store.AddPasskey(ctx, o.passkey, 100, f.event(o.identity.AccountID))
		}},
		"adding a passkey too many": {want: is(contract.ErrFull), do: func(o belongings) error {
			return f.store.AddPasskey(ctx, f.passkey(o.identity), 1, f.event(o.identity.AccountID))
		}},
		"adding a passkey as who is gone": {want: is(contract.ErrNotFound), do: func(o belongings) error {
			return f.store.AddPasskey(ctx, f.passkey(authz.Identity{AccountID: o.identity.AccountID, BAPID: "nobody"}), 100, f.event(o.identity.AccountID))
		}},
	}
}

// grantRefusals are those of grants and their tokens.
func (f *fixture) grantRefusals() map[string]way {
	ctx := f.Context()
	return map[string]way{
		"revoking grants where there are none": {do: func(belongings) error {
			_, err := f.store.RevokeGrants(ctx, "nobody", at(40), anyEvent)
			return err
		}},
		"revoking what is revoked": {
			before: func(o belongings) {
				f.ok(f.store.RevokeGrant(ctx, contract.Revocation{GrantID: o.issued.grant.ID, At: at(39), Event: anyEvent}))
			},
			do: func(o belongings) error {
				return f.store.RevokeGrant(ctx, contract.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: anyEvent})
			},
		},
		"rotating again at once": {do: func(o belongings) error {
			return f.store.RotateRefreshToken(ctx, contract.Rotation{Token: o.first.Token, Successor: o.token, At: at(31), Grace: grace, Reuse: anyEvent})
		}},
		"using a refresh token twice": {want: is(contract.ErrReused), do: func(o belongings) error {
			r := f.rotation(o.first, at(35))
			r.Reuse = f.event(o.identity.AccountID)
			return f.store.RotateRefreshToken(ctx, r)
		}},
		"rotating after the end": {
			want: is(contract.ErrNotFound),
			before: func(o belongings) {
				f.ok(f.store.RevokeGrant(ctx, contract.Revocation{GrantID: o.issued.grant.ID, At: at(34), Event: anyEvent}))
			},
			do: func(o belongings) error { return f.store.RotateRefreshToken(ctx, f.rotation(o.token, at(35))) },
		},
	}
}
