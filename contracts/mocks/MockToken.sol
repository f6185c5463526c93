// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A token with every vice, each of which can be turned on
contract MockToken {
    enum Answer {
        TRUE,
        NOTHING,
        FALSE
    }

    event Transfer(address indexed from, address indexed to, uint256 value);

    error Insufficient(address from, uint256 balance, uint256 value);
    error NotAllowed(address from, address spender, uint256 allowance, uint256 value);
    error Blocked(address who);

    uint256 private constant BPS = 10_000;

    uint8 public decimals;
    uint256 public totalSupply;
    mapping(address holder => uint256) public balanceOf;
    mapping(address holder => mapping(address spender => uint256)) public allowance;
    mapping(address holder => bool) public blocked;

    /// Of what is sent, never arrives; bps.
    uint256 public fee;
    /// Of what is asked, is not even taken; bps.
    uint256 public shortfall;
    Answer public answer;
    /// Called with `hook` before anything moves.
    address public hookTarget;
    bytes public hook;
    /// Whether the last hook succeeded, and what it returned or reverted with.
    bool public hookPassed;
    bytes public hookAnswer;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    /// @notice Takes tokens from a holder, as a rebase or a slashing does.
    function shrink(address holder, uint256 value) external {
        totalSupply -= value;
        balanceOf[holder] -= value;
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setShortfall(uint256 shortfall_) external {
        shortfall = shortfall_;
    }

    function setAnswer(Answer answer_) external {
        answer = answer_;
    }

    function setBlocked(address who, bool blocked_) external {
        blocked[who] = blocked_;
    }

    function setHook(address target, bytes calldata data) external {
        (hookTarget, hook) = (target, data);
    }

    function approve(address spender, uint256 value) external {
        allowance[msg.sender][spender] = value;
        _answer();
    }

    function transfer(address to, uint256 value) external {
        _move(msg.sender, to, value);
        _answer();
    }

    function transferFrom(address from, address to, uint256 value) external {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < value) revert NotAllowed(from, msg.sender, allowed, value);
        allowance[from][msg.sender] = allowed - value;
        _move(from, to, value);
        _answer();
    }

    function _move(address from, address to, uint256 value) private {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        if (hookTarget != address(0)) (hookPassed, hookAnswer) = hookTarget.call(hook);
        if (balanceOf[from] < value) revert Insufficient(from, balanceOf[from], value);
        uint256 taken = value - value * shortfall / BPS;
        uint256 arrived = taken - taken * fee / BPS;
        balanceOf[from] -= taken;
        balanceOf[to] += arrived;
        totalSupply -= taken - arrived;
        emit Transfer(from, to, arrived);
    }

    /// @dev Ends the call with what a token may answer.
    function _answer() private view {
        Answer chosen = answer;
        // Nothing is used after: each branch ends the call.
        assembly ("memory-safe") {
            if eq(chosen, 1) { return(0, 0) }
            mstore(0, iszero(chosen))
            return(0, 0x20)
        }
    }
}
