/// A double of the published package, written from the rules in docs/protocols/sui.md: the call interface with a price
/// per compute unit and a maximum. State stands in plain vectors, so that a test can write it down as bytes.
module double::db {
    use sui::balance::{Self, Balance};
    use sui::coin::{Self, Coin};
    use sui::event;
    use sui::sui::SUI;

    const BASE: u64 = 312_012_000;
    const COLLATERAL: u64 = 1_000;

    public struct NodeSmallId has copy, drop, store { inner: u64 }
    public struct TaskSmallId has copy, drop, store { inner: u64 }

    public struct NodeBadge has key, store { id: UID, small_id: NodeSmallId }

    public struct Task has copy, drop, store { task: u64, minimum_reputation: u64, deprecated: bool }
    public struct Node has copy, drop, store { node: u64, reputation: u64 }
    public struct Subscription has copy, drop, store { node: u64, task: u64, price: u64, max: u64 }

    public struct AtomaDb has key {
        id: UID,
        registration_open: bool,
        collateral: Balance<SUI>,
        nodes: vector<Node>,
        tasks: vector<Task>,
        subscriptions: vector<Subscription>,
    }

    public struct NodeRegisteredEvent has copy, drop { badge_id: ID, node_small_id: NodeSmallId }
    public struct NodeSubscribedToTaskEvent has copy, drop {
        task_small_id: TaskSmallId,
        node_small_id: NodeSmallId,
        price_per_compute_unit: u64,
        max_num_compute_units: u64,
    }
    public struct NodeSubscriptionUpdatedEvent has copy, drop {
        node_small_id: NodeSmallId,
        task_small_id: TaskSmallId,
        price_per_compute_unit: u64,
        max_num_compute_units: u64,
    }
    public struct NodeUnsubscribedFromTaskEvent has copy, drop {
        task_small_id: TaskSmallId,
        node_small_id: NodeSmallId,
    }

    entry fun register_node_entry(db: &mut AtomaDb, wallet: &mut Coin<SUI>, ctx: &mut TxContext) {
        assert!(db.registration_open, BASE + 0);
        balance::join(&mut db.collateral, coin::into_balance(coin::split(wallet, COLLATERAL, ctx)));
        let node = db.nodes.length() + 1;
        db.nodes.push_back(Node { node, reputation: 50 });
        let badge = NodeBadge { id: object::new(ctx), small_id: NodeSmallId { inner: node } };
        event::emit(NodeRegisteredEvent {
            badge_id: object::id(&badge),
            node_small_id: badge.small_id,
        });
        transfer::transfer(badge, tx_context::sender(ctx));
    }

    entry fun subscribe_node_to_task(
        db: &mut AtomaDb, badge: &NodeBadge, task: u64, price: u64, max: u64,
    ) {
        let node = badge.small_id.inner;
        let (found, at) = find_task(db, task);
        assert!(found, BASE + 17);
        let wanted = db.tasks[at];
        assert!(reputation(db, node) >= wanted.minimum_reputation, BASE + 39);
        assert!(!wanted.deprecated, BASE + 15);
        let (subscribed, _) = find_subscription(db, node, task);
        assert!(!subscribed, BASE + 16);
        assert!(price > 0, BASE + 37);
        assert!(max > 0, BASE + 38);
        db.subscriptions.push_back(Subscription { node, task, price, max });
        event::emit(NodeSubscribedToTaskEvent {
            task_small_id: TaskSmallId { inner: task },
            node_small_id: badge.small_id,
            price_per_compute_unit: price,
            max_num_compute_units: max,
        });
    }

    entry fun update_node_subscription(
        db: &mut AtomaDb, badge: &NodeBadge, task: u64, price: u64, max: u64,
    ) {
        assert!(price > 0, BASE + 37);
        assert!(max > 0, BASE + 38);
        let at = kept(db, badge.small_id.inner, task);
        let subscription = db.subscriptions.borrow_mut(at);
        subscription.price = price;
        subscription.max = max;
        event::emit(NodeSubscriptionUpdatedEvent {
            node_small_id: badge.small_id,
            task_small_id: TaskSmallId { inner: task },
            price_per_compute_unit: price,
            max_num_compute_units: max,
        });
    }

    entry fun unsubscribe_node_from_task(
        db: &mut AtomaDb, badge: &NodeBadge, task: u64,
    ) {
        let at = kept(db, badge.small_id.inner, task);
        db.subscriptions.swap_remove(at);
        event::emit(NodeUnsubscribedFromTaskEvent {
            task_small_id: TaskSmallId { inner: task },
            node_small_id: badge.small_id,
        });
    }

    /// Where the subscription of a task stands that is not deprecated.
    fun kept(db: &AtomaDb, node: u64, task: u64): u64 {
        let (found, at) = find_task(db, task);
        assert!(found, BASE + 17);
        let (subscribed, place) = find_subscription(db, node, task);
        assert!(subscribed, BASE + 18);
        assert!(!db.tasks[at].deprecated, BASE + 15);
        place
    }

    fun find_task(db: &AtomaDb, task: u64): (bool, u64) {
        let mut at = 0;
        while (at < db.tasks.length()) {
            if (db.tasks[at].task == task) return (true, at);
            at = at + 1;
        };
        (false, 0)
    }

    fun find_subscription(db: &AtomaDb, node: u64, task: u64): (bool, u64) {
        let mut at = 0;
        while (at < db.subscriptions.length()) {
            let each = db.subscriptions[at];
            if (each.node == node && each.task == task) return (true, at);
            at = at + 1;
        };
        (false, 0)
    }

    fun reputation(db: &AtomaDb, node: u64): u64 {
        db.nodes[node - 1].reputation
    }
}
