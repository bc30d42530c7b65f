/* What ISA-L 2.31 does where a processor has GFNI, seen from outside: 8 bytes for each factor instead of 32. */

#include <string.h>

void ec_init_tables(int k, int rows, unsigned char *factors, unsigned char *tables)
{
    for (int at = 0; at < k * rows; at++, tables += 8) {
        memset(tables, 0, 8);
        tables[0] = factors[at];
    }
}

static unsigned char times(unsigned char a, unsigned char b)
{
    unsigned char product = 0;
    for (; b; b >>= 1, a = (unsigned char)(a << 1 ^ (a & 128 ? 0x1D : 0)))
        if (b & 1)
            product ^= a;
    return product;
}

void ec_encode_data(int length, int k, int rows, unsigned char *tables, unsigned char **data, unsigned char **coding)
{
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < length; at++) {
            unsigned char sum = 0;
            for (int from = 0; from < k; from++)
                sum ^= times(data[from][at], tables[8 * (row * k + from)]);
            coding[row][at] = sum;
        }
}
