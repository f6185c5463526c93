"""What to do about each custom error, by its name. A test compares the table with the ABIs."""

HINTS: dict[str, str] = {
    # The books.
    "NotAuthorised": (
        "act as the account's owner, or have the owner set a delegate where that is enough"
    ),
    "DelegateMarket": "trade what the delegate was granted, or have the owner grant this market",
    "LeverageExceeded": (
        "trade less, reduce, or have the owner deposit: the delegate may leave `maxLeverage` "
        "hundredths at most"
    ),
    "Reentered": "wait until the running call is over: a token or callback tried to enter again",
    "Paused": "wait for the guardian to lift the pause; what reduces risk stays open",
    "BelowInitialMargin": (
        "deposit, reduce positions, or ask for less: equity must reach initial margin"
    ),
    "RatioWorsened": (
        "below initial margin only what improves both ratios passes: deposit, or reduce "
        "without loss"
    ),
    "DoubtfulPrice": (
        "a price of the account is not OK: observe it again, or only reduce risk meanwhile"
    ),
    "TooManyPositions": "close a position, or use another sub-account",
    "PositionTooLarge": "split the position over sub-accounts: size or quote does not fit 104 bits",
    "ZeroAmount": "name an amount above zero",
    # The door.
    "OnlyOwnerOpens": (
        "let the owner deposit this asset first: a stranger can only add to what is held"
    ),
    "PermitFailed": (
        "sign the permit for the vault, with the token's present nonce; or approve the vault"
    ),
    "Permit2Unavailable": "approve the vault and deposit: this deployment knows no Permit2",
    "InsufficientCollateral": "ask for at most `balance`",
    "InsufficientLiquidity": "ask for at most `available`, or wait until borrowers repay",
    "WinnersCapExceeded": "settle positions of accounts that lost, then try again",
    "NotYourSubAccount": (
        "transfers stay between one owner's accounts: withdraw and deposit instead"
    ),
    "NotSealed": "wait until set-up is over: deposits open with `seal`",
    "EngineNotReady": "wait until `readyAt`",
    "EngineInvalid": "submit an engine that is sealed and wired to this ClearingHouse",
    "CashOutWithLoss": "withdraw in another transaction: this one books a loss",
    "UnsupportedDecimals": "use a settlement token of at most 18 decimals",
    "PausedTooRecently": "pause liquidation again after `readyAt`",
    "MulticallNested": "put all calls into one multicall",
    "ValueNotAccepted": "send no ether along: only updatePyth and multicall take it",
    "UnexpectedValue": "do not send ether to the ClearingHouse",
    "EpochsExhausted": "cancel orders one by one, or use another sub-account",
    "PrincipalTooLarge": "split the amount over sub-accounts: it does not fit its place in storage",
    "OutflowLimited": "ask for less, or wait: an hour after `windowStart` the limit begins anew",
    # Losses and the end.
    "RiskHalted": "a loss went beyond the reserves: only reduce, until governance lifts the halt",
    "NotHalted": "new risk is not halted: there is nothing to lift",
    "ResumeNotReady": "submit first, then wait until `readyAt`",
    "ShutdownNotReady": "submit first, then wait until `readyAt`",
    "Shut": "the house is being wound down: reduce or wait for `closeOut`",
    "NotShut": "positions are closed out only when the house was shut",
    "TooEarlyToClose": "trade out of the position, or wait until `closesAt`",
    "FixingIncomplete": "call `recordFixing` on the engine with the rounds of this expiry first",
    "MarketEnded": "call `closeOut`: the value of this instrument is fixed",
    "PositionsOpen": "call `closeOut` for each position of the account first",
    # The reserves.
    "ProvisionOpen": "wait until the auctions that are about to leave a loss are over",
    "OnlyBackstop": "only the backstop draws on the reserves: use its own entries",
    "InsufficientReserves": "ask for at most `available`",
    "AlreadyBound": "the reserves have their backstop for good",
    # Tokens.
    "OnlyClearingHouse": "call the ClearingHouse instead",
    "NothingReceived": "check the payer's balance: the token moved nothing",
    "BalanceBelowClaims": (
        "the token lost balance by itself: its exits are closed until it is made whole"
    ),
    # Orders.
    "OrderExpired": "sign a new order with a later expiry",
    "OrderEpochPassed": "sign a new order at the account's present epoch",
    "OrderSpent": "the order is filled or cancelled: sign a new one",
    "WrongTaker": "only the order's named taker may take it",
    "InvalidSignature": (
        "sign with the order's signer, or a grant with the account's owner and its present grant "
        "nonce, over this chain and this ClearingHouse"
    ),
    "GrantExpired": "have the owner sign the grant anew, with a later deadline",
    "BelowMinimumFill": "fill at least `minimum`",
    "NotReducing": "ask for less: a reduce-only order may not open or cross zero",
    "LegsInvalid": "use 1 to 8 legs in ascending order of instrument, no ratio zero",
    "OrdersDoNotMatch": "match a buy and a sell of the same legs",
    "PricesDoNotCross": "the buyer's price is below the seller's: improve one of them",
    "SelfTrade": "trade with somebody else: a trade with oneself would only print",
    "MarketClosed": "this market only takes trades that reduce both sides",
    "OpenInterestCapExceeded": (
        "trade less, or against open interest: the market is full, or the reserves carry no more"
    ),
    "PriceNotOk": "observe the price again; until it is OK only trades that reduce risk pass",
    "SurfaceStale": "have the reporters report the surface; until then only reducing trades pass",
    "SettlementTokenDepegged": "new risk waits until the settlement token is back at its peg",
    # The auction.
    "AccountHealthy": "nothing to liquidate: the account covers its maintenance margin",
    "ObservedTooRecently": "look again at `readyAt`",
    "NotInAuction": "flag the account first, twice, at least 12 seconds apart",
    "SameBlock": "bid in a later block than the flag",
    "AuctionAlreadyRunning": "nothing to flag: bid",
    "NotRestored": "the auction ends when equity reaches `target`",
    "StillUnhealthy": "the account is below maintenance and its prices are good: the clock runs",
    "PriceAboveLimit": "quote again and raise `maxPrice`, or wait for a deeper discount",
    "BidExpired": "quote again and set a later deadline",
    "VersionChanged": "the account's contents changed: read it again and quote again",
    "CheckPending": "wait for the end of this transaction: the account has been touched in it",
    "SelfBid": "bid with another account",
    "FractionInvalid": "name a fraction above 0 and at most 1",
    "NoPayoutOnDoubtfulPrice": (
        "wait until every price of the account is OK: the waterfall pays nothing before"
    ),
    "PayoutAboveCap": "take a smaller fraction",
    "NothingToWriteOff": "only an account with debt and nothing else is written off",
    # Prices.
    "PriceAlreadyFixed": "observe in a transaction of its own, before acting on the price",
    "InsufficientGas": "send the transaction again with more gas",
    "SourceDisagrees": "check the new source: it must agree with the one it replaces",
    "SourceUnusable": "check the address, the decimals and the age of the source",
    "DecimalsMismatch": "pin the decimals that the source reports",
    "NotBrokenLongEnough": "a price can be frozen only when its feed has been broken for long",
    "UpdateFeeMissing": "send `fee` along as value",
    # Parameters.
    "ParameterOutOfBounds": "choose a value within the bounds of docs/margin.md, section 8",
    "StepTooLarge": "loosen in several steps, a day apart",
    "TooEarly": "wait until `readyAt`",
    "SubmissionExpired": "submit the parameter again",
    "NothingSubmitted": "submit the parameter first",
    "AlreadySet": "this word can be set once only",
    "NotWired": "name the ClearingHouse with `wire` first",
    "AlreadyWired": "the engine serves `clearingHouse` already: deploy another",
    "AlreadySealed": "set-up is over: submit and accept instead",
    "UnknownAsset": "use the id of a listed asset",
    "UnknownUnderlying": "use the id of an underlying that has a price source",
    "UnknownInstrument": "use an instrument of a listed underlying, an expiry only with a surface",
    "WrongTable": "give the engine the NormalTable of this release",
    "RoundsMissing": "give the underlying a Chainlink source first, primary or second",
    "VolatilityUnset": "have governance set the reference of its volatility first",
    "RoundUnavailable": "hand in a round that the source can read, and the one before it too",
    "RoundTooEarly": "hand in the first round at or after `start`, or wait until there is one",
    "RoundNotFirst": "hand in an earlier round: the first one at or after `start`; "
    "a feed that answers to round zero of a phase cannot be sampled there",
    "PhasePassed": "hand in a round of the source's phase `phase` or a later one",
    "RoundsDescend": "hand in rounds in ascending order, none below `before`",
    "PhaseTooNew": "hand in a round of the phase before, or this one from `readyAt` on",
    "FixingComplete": "hand in only as many rounds as samples are missing",
    "FixingFrozen": "from `expiry` on call it without rounds: the frozen price settles",
    "ExpiryOutOfBounds": "name an expiry as days since 1 January 2025, at most 4095",
    "RateSourceMissing": "accept the rate source, and the market feed that waits, first",
    "SettlementTokenListed": "list another token: the settlement token counts as cash already",
    "CapExceeded": "deposit less: the asset's cap is in sight",
    "GrowthExceeded": "deposit less, or after an hour: the asset grows faster than its limit",
    "HoldingTooLarge": "split the deposit over sub-accounts",
    # Reports of premiums.
    "ReportOracleMissing": "propose a ReportOracle first: until it is accepted nothing is reported",
    "ReportNotNewer": "gather reports that were all observed after `before`",
    "LengthMismatch": "give one signature for each report",
    "QuorumMissed": "gather reports of at least `quorum` reporters",
    "WrongUnderlying": "leave out the report at `place`: it is on another underlying",
    "ReportFromFuture": "wait until the chain's clock has reached `observedAt`",
    "ReportTooOld": "ask the reporter at `place` again: a report counts for ten minutes",
    "ReportsDisordered": "sort the reports by premium, the least first",
    "UnknownSigner": (
        "leave out the report at `place`: no living reporter of this ReportOracle signed it"
    ),
    "SameReporter": "give one report of each reporter",
    "ReportsDisagree": "leave out the report that stands apart, or ask the reporters again",
    "PremiumTooLarge": "nothing to do: no funding is set on a premium that large",
    "NotAReporter": "name a living reporter",
    "InvalidReporter": "name each reporter once, and none with the zero address",
    "TooManyReporters": "name at most 64 reporters",
    "InvalidQuorum": "ask for more than half of the reporters, and no more than there are",
    "InvalidTerms": "keep agreements and largest premium at most 1e18, and that above zero",
    # Reports of surfaces.
    "SlicesMiscounted": "report one to sixteen expiries",
    "SlicesDisordered": "report expiries in ascending order, each once",
    "SliceExpired": "leave out what has expired, and days beyond 4095",
    "ForwardOutOfBounds": "report a forward between half and twice the index price, 9 decimals",
    "SliceOutOfBounds": "fit the expiry again, within the bounds of docs/options.md section 2",
    "VarianceOutOfBounds": "fit the expiry again: its volatility leaves 1 to 500 percent",
    "WingTooSteep": "fit the expiry again with flatter wings: a smaller b",
    "ButterflyArbitrage": "fit the expiry again: around `kappa` it bends the wrong way",
    "CalendarArbitrage": "fit both expiries again: at `kappa` the later has less variance",
    "ExpiriesDiffer": "leave out the report that has other expiries, or ask the reporters again",
    "ForwardsDisagree": "leave out the report whose forward stands apart, or ask again",
    "VolatilitiesDisagree": "leave out the report whose surface stands apart, or ask again",
    # The backstop.
    "AsynchronousRedemption": (
        "request the redemption; what it fetches is known once its epoch is settled"
    ),
    "NotOperator": "claim as the controller, or have it set you as an operator",
    "NothingToSettle": "nothing to do: no redemption waits",
    "EpochRunning": "settle from `endsAt` on",
    "ValuationDoubtful": "wait until every price of the backstop's sub-accounts is good again",
    "TransferIncomplete": "the settlement token kept a part: the backstop takes whole amounts only",
    "OwnSubAccount": "bid with another account: the backstop takes nothing from itself",
    "TooManySubAccounts": "sweep a sub-account that holds nothing, or unwind one first",
    "TooShallow": "wait until the auction is `least` bps deep, or bid with another account",
    "DiscountTooSmall": (
        "wait for a deeper auction: the slice pays the backstop too little for its gross value"
    ),
    "SliceTooSmall": (
        "bid with another account: the backstop's limits leave less than it opens a sub-account for"
    ),
    "NotInUse": "name a sub-account of the backstop that holds a slice",
    "WrongDigest": "sign the order itself: its digest is not the one asked for",
    "WrongSigner": "name the backstop as the signer",
    "NotReduceOnly": "set `reduceOnly`: the backstop only closes",
    "ExpiryTooFar": "let the order expire by `latest`",
    "PriceBeyondSlack": "offer the backstop at least `worst`, or wait while its slack rises",
    "CostAboveLimit": "allow `cost`, or wait: the slack rises for a day",
    "NothingToSweep": "nothing to do: the sub-account needs what it has",
    "ReentrancyGuardReentrantCall": "call the backstop once the running call is over",
    # Shares and other tokens.
    "ERC20InsufficientAllowance": "approve `needed` first",
    "ERC20InsufficientBalance": "ask for at most `balance`",
    "ERC20InvalidApprover": "act for an address that is not zero",
    "ERC20InvalidReceiver": "name a receiver that is not zero",
    "ERC20InvalidSender": "act for an address that is not zero",
    "ERC20InvalidSpender": "name a spender that is not zero",
    "ERC2612ExpiredSignature": "sign a permit with a later deadline",
    "ERC2612InvalidSigner": "have the owner sign, for this token, chain and nonce",
    "ERC4626ExceededMaxDeposit": (
        "deposit at most `max`: zero while there is a deficit or a doubtful price"
    ),
    "ERC4626ExceededMaxMint": (
        "mint at most `max`: zero while there is a deficit or a doubtful price"
    ),
    "ERC4626ExceededMaxRedeem": "claim at most `max`: what settled and was not claimed yet",
    "ERC4626ExceededMaxWithdraw": "claim at most `max`: what settled and was not claimed yet",
    # Libraries.
    "AccessManagedUnauthorized": "act with a role that the AccessManager lets call this function",
    "AccessManagedRequiredDelay": (
        "schedule the call in the AccessManager and run it after the delay"
    ),
    "AccessManagedInvalidAuthority": "name the AccessManager's contract as authority",
    "SafeERC20FailedOperation": (
        "check balance and approval (of the vault) and whether the token is paused"
    ),
    "SafeCastOverflowedIntDowncast": "use a smaller amount",
    "SafeCastOverflowedUintDowncast": "use a smaller amount",
    "SafeCastOverflowedUintToInt": "use a smaller amount",
    "ECDSAInvalidSignature": "sign again: this is no signature",
    "ECDSAInvalidSignatureLength": "sign again: a signature has 65 bytes",
    "ECDSAInvalidSignatureS": "sign again: the signature is malleable",
    "InvalidAccountNonce": "sign with the owner's current nonce",
    "AddressEmptyCode": "check the address: there is no contract",
    "FailedCall": "the inner call failed without a reason: try it alone",
    "InsufficientBalance": "send more ether along",
    "InvalidShortString": "report this: a constant is broken",
    "StringTooLong": "report this: a constant is broken",
}
