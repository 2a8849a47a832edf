/// Signatures alone of what the doubles call; the network's own modules take their place when they are executed.
#[defines_primitive(vector)]
module std::vector {
    #[bytecode_instruction]
    public native fun empty<Element>(): vector<Element>;
    #[bytecode_instruction]
    public native fun length<Element>(v: &vector<Element>): u64;
    #[bytecode_instruction, syntax(index)]
    public native fun borrow<Element>(v: &vector<Element>, i: u64): &Element;
    #[bytecode_instruction]
    public native fun push_back<Element>(v: &mut vector<Element>, e: Element);
    #[bytecode_instruction, syntax(index)]
    public native fun borrow_mut<Element>(v: &mut vector<Element>, i: u64): &mut Element;
    public native fun swap_remove<Element>(v: &mut vector<Element>, i: u64): Element;
}
