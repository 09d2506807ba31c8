package storagetest

import (
	"maps"

	"countersign.dev/internal/authz"
)

// refusals end otherwise than well, or find nothing to do, and say so when all their
// statements succeed.
func (b *bench) refusals() map[string]way {
	all := b.requestRefusals()
	maps.Copy(all, b.accountRefusals())
	maps.Copy(all, b.grantRefusals())
	return all
}

// requestRefusals are those of clients and of device requests.
func (b *bench) requestRefusals() map[string]way {
	ctx := b.Context()
	return map[string]way{
		"adding a client that is there": {want: is(authz.ErrExists), do: func(o belongings) error { return b.store.AddClient(ctx, o.client) }},
		"removing a client that is not there": {want: is(authz.ErrNotFound), do: func(belongings) error {
			return b.store.RemoveClient(ctx, "nobody", at(40))
		}},
		"reading what is not there": {want: is(authz.ErrNotFound), do: func(belongings) error {
			_, err := b.store.DeviceRequestByID(ctx, "nothing")
			return err
		}},
		"storing a request whose code is taken": {want: is(authz.ErrExists), do: func(o belongings) error {
			r := b.request()
			r.UserCode = o.elsewhere.UserCode
			return b.store.CreateDeviceRequest(ctx, r)
		}},
		"opening what was decided": {want: isState, do: func(o belongings) error {
			_, err := b.store.OpenDeviceRequest(ctx, authz.Opening{RequestID: o.approved.request.ID, AccountID: o.identity.AccountID, At: at(1)})
			return err
		}},
		"cancelling what was decided": {want: isState, do: func(o belongings) error {
			return b.store.CancelDeviceRequest(ctx, o.approved.request.ID, at(1))
		}},
		"approving what was decided": {want: isState, do: func(o belongings) error {
			return b.store.ApproveDeviceRequest(ctx, b.approval(o.approved.request, o.identity))
		}},
		"denying what was decided": {want: isState, do: func(o belongings) error {
			return b.store.DenyDeviceRequest(ctx, authz.Denial{RequestID: o.approved.request.ID, AccountID: o.identity.AccountID, At: at(1), Event: anyEvent, Keep: plenty})
		}},
		"approving as who is gone": {want: is(authz.ErrGone), do: func(o belongings) error {
			a := b.approval(o.opened, o.identity)
			a.Grant.BAPID = "nobody"
			return b.store.ApproveDeviceRequest(ctx, a)
		}},
		"approving with a passkey that is gone": {want: is(authz.ErrGone), do: func(o belongings) error {
			a := b.approval(o.opened, o.identity)
			a.Grant.Passkey = "nothing"
			return b.store.ApproveDeviceRequest(ctx, a)
		}},
		"redeeming what was redeemed": {want: isState, do: func(o belongings) error { return b.store.RedeemDeviceRequest(ctx, b.redemption(o.issued)) }},
		"redeeming another client's request": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			r := b.redemption(o.approved)
			r.ClientID = "nobody"
			return b.store.RedeemDeviceRequest(ctx, r)
		}},
	}
}

// accountRefusals are those of accounts, sessions and passkeys.
func (b *bench) accountRefusals() map[string]way {
	ctx := b.Context()
	return map[string]way{
		"creating an account for who has one": {want: is(authz.ErrExists), do: func(o belongings) error {
			i := o.second
			i.AccountID = b.word("account")
			return b.store.CreateAccount(ctx, authz.Account{ID: i.AccountID, CreatedAt: at(0)}, i)
		}},
		"linking who has an account": {want: is(authz.ErrExists), do: func(o belongings) error {
			return b.store.LinkIdentity(ctx, o.second, o.identity.BAPID, many, b.event(o.identity.AccountID))
		}},
		"linking for a stranger": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			return b.store.LinkIdentity(ctx, b.newIdentity(o.identity.AccountID), "nobody", many, b.event(o.identity.AccountID))
		}},
		"removing an identity for a stranger": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			return b.store.RemoveIdentity(ctx, b.removal(o.second, authz.Identity{AccountID: o.identity.AccountID, BAPID: "nobody"}))
		}},
		"signing in as who is gone": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			s := b.session(o.identity)
			s.BAPID = "nobody"
			return b.store.CreateSession(ctx, authz.NewSession{Session: s, Event: anyEvent, Keep: plenty})
		}},
		"signing in with a counter again": {want: is(authz.ErrCounter), do: func(o belongings) error {
			return b.store.CreateSession(ctx, b.signIn(o.passkey, o.passkey.SignCount))
		}},
		"signing in with a passkey that is gone": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			return b.store.CreateSession(ctx, b.signIn(b.passkey(o.identity), 9))
		}},
		"ending sessions where there are none": {do: func(belongings) error {
			_, err := b.store.EndOtherSessions(ctx, "nobody", authz.Hash{}, at(40), anyEvent)
			return err
		}},
		"adding a passkey that is there": {want: is(authz.ErrExists), do: func(o belongings) error {
			return b.store.AddPasskey(ctx, o.passkey, 100, b.event(o.identity.AccountID))
		}},
		"adding a passkey too many": {want: is(authz.ErrFull), do: func(o belongings) error {
			return b.store.AddPasskey(ctx, b.passkey(o.identity), 1, b.event(o.identity.AccountID))
		}},
		"adding a passkey as who is gone": {want: is(authz.ErrNotFound), do: func(o belongings) error {
			return b.store.AddPasskey(ctx, b.passkey(authz.Identity{AccountID: o.identity.AccountID, BAPID: "nobody"}), 100, b.event(o.identity.AccountID))
		}},
	}
}

// grantRefusals are those of grants and their tokens.
func (b *bench) grantRefusals() map[string]way {
	ctx := b.Context()
	return map[string]way{
		"revoking grants where there are none": {do: func(belongings) error {
			_, err := b.store.RevokeGrants(ctx, "nobody", at(40), anyEvent)
			return err
		}},
		"revoking what is revoked": {
			before: func(o belongings) {
				b.ok(b.store.RevokeGrant(ctx, authz.Revocation{GrantID: o.issued.grant.ID, At: at(39), Event: anyEvent}))
			},
			do: func(o belongings) error {
				return b.store.RevokeGrant(ctx, authz.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: anyEvent})
			},
		},
		"rotating again at once": {do: func(o belongings) error {
			return b.store.RotateRefreshToken(ctx, authz.Rotation{Token: o.first.Token, Successor: o.token, At: at(31), Grace: grace, Reuse: anyEvent})
		}},
		"using a refresh token twice": {want: is(authz.ErrReused), do: func(o belongings) error {
			r := b.rotation(o.first, at(35))
			r.Reuse = b.event(o.identity.AccountID)
			return b.store.RotateRefreshToken(ctx, r)
		}},
		"rotating after the end": {
			want: is(authz.ErrNotFound),
			before: func(o belongings) {
				b.ok(b.store.RevokeGrant(ctx, authz.Revocation{GrantID: o.issued.grant.ID, At: at(34), Event: anyEvent}))
			},
			do: func(o belongings) error { return b.store.RotateRefreshToken(ctx, b.rotation(o.token, at(35))) },
		},
	}
}
