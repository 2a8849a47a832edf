/// Signatures alone of what the doubles call; the network's own modules take their place when they are executed.
module sui::tx_context {
    public struct TxContext has drop { sender: address }
    public native fun sender(self: &TxContext): address;
}

module sui::object {
    use sui::tx_context::TxContext;
    public struct ID has copy, drop, store { bytes: address }
    public struct UID has store { id: ID }
    public native fun new(ctx: &mut TxContext): UID;
    public native fun id<T: key>(obj: &T): ID;
}

module sui::transfer {
    public native fun transfer<T: key>(obj: T, recipient: address);
}

module sui::event {
    public native fun emit<T: copy + drop>(event: T);
}

module sui::balance {
    public struct Balance<phantom T> has store { value: u64 }
    public native fun join<T>(self: &mut Balance<T>, balance: Balance<T>): u64;
}

module sui::coin {
    use sui::balance::Balance;
    use sui::object::UID;
    use sui::tx_context::TxContext;
    public struct Coin<phantom T> has key, store { id: UID, balance: Balance<T> }
    public native fun split<T>(self: &mut Coin<T>, amount: u64, ctx: &mut TxContext): Coin<T>;
    public native fun into_balance<T>(coin: Coin<T>): Balance<T>;
}

module sui::sui {
    public struct SUI has drop {}
}
