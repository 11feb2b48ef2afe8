#include "textflag.h"

// One step of montgomery52 for eight digits of the accumulator: what is below
// the digit that leaves is added before they move, the rest after.
#define LOW(acc, a, n) \
	VPMADD52LUQ a, Z16, acc \
	VPMADD52LUQ n, Z17, acc

#define HIGH(acc, a, n) \
	VPMADD52HUQ a, Z16, acc \
	VPMADD52HUQ n, Z17, acc

// func montgomery52(out, a, b, n *digits, k0 uint64)
//
// Digit 0 of the accumulator is in R8 and whole: its lane is what the vector
// instructions make of it, and is never read after the digits moved.
TEXT ·montgomery52(SB), NOSPLIT, $0-40
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), BX
	MOVQ n+24(FP), CX
	MOVQ k0+32(FP), R9
	MOVQ $0xfffffffffffff, R10
	VMOVDQU64 (SI), Z0
	VMOVDQU64 64(SI), Z1
	VMOVDQU64 128(SI), Z2
	VMOVDQU64 192(SI), Z3
	VMOVDQU64 256(SI), Z4
	VMOVDQU64 (CX), Z5
	VMOVDQU64 64(CX), Z6
	VMOVDQU64 128(CX), Z7
	VMOVDQU64 192(CX), Z8
	VMOVDQU64 256(CX), Z9
	VPXORQ Z10, Z10, Z10
	VPXORQ Z11, Z11, Z11
	VPXORQ Z12, Z12, Z12
	VPXORQ Z13, Z13, Z13
	VPXORQ Z14, Z14, Z14
	VPXORQ Z15, Z15, Z15
	MOVQ (SI), SI
	MOVQ (CX), CX
	XORQ R8, R8
	MOVQ $40, R11

digit:
	MOVQ (BX), DX
	VPBROADCASTQ DX, Z16
	MULXQ SI, AX, R12 // a[0] * b[i]
	ADDQ AX, R8
	ADCQ $0, R12
	MOVQ R8, DX
	IMULQ R9, DX
	ANDQ R10, DX // of n, what makes digit 0 zero
	VPBROADCASTQ DX, Z17
	MULXQ CX, AX, R13
	ADDQ AX, R8
	ADCQ R13, R12
	SHRQ $52, R8
	SHLQ $12, R12
	ORQ R12, R8
	LOW(Z10, Z0, Z5)
	LOW(Z11, Z1, Z6)
	LOW(Z12, Z2, Z7)
	LOW(Z13, Z3, Z8)
	LOW(Z14, Z4, Z9)
	VALIGNQ $1, Z10, Z11, Z10
	VMOVQ X10, AX
	ADDQ AX, R8
	VALIGNQ $1, Z11, Z12, Z11
	VALIGNQ $1, Z12, Z13, Z12
	VALIGNQ $1, Z13, Z14, Z13
	VALIGNQ $1, Z14, Z15, Z14
	HIGH(Z10, Z0, Z5)
	HIGH(Z11, Z1, Z6)
	HIGH(Z12, Z2, Z7)
	HIGH(Z13, Z3, Z8)
	HIGH(Z14, Z4, Z9)
	ADDQ $8, BX
	DECQ R11
	JNZ digit

	// Digits have up to 60 bits now: what is above 52 goes to the next.
	MOVQ out+0(FP), DI
	VMOVDQU64 Z10, (DI)
	VMOVDQU64 Z11, 64(DI)
	VMOVDQU64 Z12, 128(DI)
	VMOVDQU64 Z13, 192(DI)
	VMOVDQU64 Z14, 256(DI)
	VZEROUPPER
	MOVQ R8, (DI)
	XORQ AX, AX
	MOVQ $40, R11

carry:
	ADDQ (DI), AX
	MOVQ AX, DX
	ANDQ R10, DX
	MOVQ DX, (DI)
	SHRQ $52, AX
	ADDQ $8, DI
	DECQ R11
	JNZ carry
	RET
